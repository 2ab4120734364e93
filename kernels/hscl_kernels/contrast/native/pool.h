// Threads that take numbered pieces of work from a queue, so that a thread which loses its core holds up no other.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>

namespace hscl {

// Calls work(piece, thread) for every piece < count, in the order of the pieces, on up to `threads` threads of which
// the caller is thread 0; returns when all are done. `work` must not throw. A second call at the same time, from
// another thread, runs on its caller alone.
void run_pieces(int threads, int64_t count, const std::function<void(int64_t, int)> &work);

// Lets the processor's other thread, or another program, go on while this one waits.
void pause_for(int &turns);

// Gives pieces that add to the same place the order in which they were numbered, whatever thread they run on.
class Turns {
public:
    // Waits until `ticket` pieces before this one have added.
    void wait(int ticket) const {
        int turns = 0;
        while (done_.load(std::memory_order_acquire) != ticket) pause_for(turns);
    }
    void next() { done_.fetch_add(1, std::memory_order_release); }

private:
    std::atomic<int> done_{0};
};

}  // namespace hscl
