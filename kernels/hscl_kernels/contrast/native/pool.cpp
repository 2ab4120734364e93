#include "pool.h"

#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace hscl {
namespace {

struct Job {
    Job(int64_t count, int threads, const std::function<void(int64_t, int)> &work)
        : count(count), threads(threads), work(work) {}

    void take(int thread) {
        int64_t piece;
        while ((piece = next.fetch_add(1, std::memory_order_relaxed)) < count) {
            work(piece, thread);
            finished.fetch_add(1, std::memory_order_acq_rel);
        }
    }

    const int64_t count;
    const int threads;
    const std::function<void(int64_t, int)> &work;  // not touched once all pieces are finished
    std::atomic<int64_t> next{0}, finished{0};
    std::atomic<int> joined{1};
};

class Pool {
public:
    void run(int threads, int64_t count, const std::function<void(int64_t, int)> &work) {
        auto job = std::make_shared<Job>(count, threads, work);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            while (workers_ < threads - 1) {
                try {
                    std::thread([this] { serve(); }).detach();
                } catch (const std::system_error &) {
                    break;  // the system gives no more threads: those there are do the work
                }
                ++workers_;
            }
            job_ = job;
            number_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        job->take(0);
        int turns = 0;
        while (job->finished.load(std::memory_order_acquire) != count) pause_for(turns);
    }

    std::mutex busy;

private:
    void serve() {
        uint64_t seen = 0;
        for (;;) {
            // The next piece of a step often follows at once: waking a sleeping thread takes longer.
            for (int turns = 0; turns < 2000 && number_.load(std::memory_order_acquire) == seen;) pause_for(turns);
            std::shared_ptr<Job> job;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return number_.load(std::memory_order_relaxed) != seen; });
                seen = number_.load(std::memory_order_relaxed);
                job = job_;
            }
            int thread = job->joined.fetch_add(1);
            if (thread < job->threads) job->take(thread);
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::shared_ptr<Job> job_;
    std::atomic<uint64_t> number_{0};
    int workers_ = 0;
};

// A fork has none of its parent's threads, so each process has a pool of its own. Pools are never destroyed: their
// threads wait in them until the process ends.
Pool &pool_of_this_process() {
    static std::mutex mutex;
    static Pool *pool = nullptr;
    static pid_t owner = 0;
    std::lock_guard<std::mutex> lock(mutex);
    if (owner != getpid()) {
        pool = new Pool;
        owner = getpid();
    }
    return *pool;
}

}  // namespace

void pause_for(int &turns) {
    if (++turns % 64 == 0) {
        std::this_thread::yield();
    } else {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
}

void run_pieces(int threads, int64_t count, const std::function<void(int64_t, int)> &work) {
    if (threads > count) threads = static_cast<int>(count);
    if (threads > 1) {
        Pool &pool = pool_of_this_process();
        std::unique_lock<std::mutex> alone(pool.busy, std::try_to_lock);
        if (alone.owns_lock()) {
            pool.run(threads, count, work);
            return;
        }
    }
    for (int64_t piece = 0; piece < count; ++piece) work(piece, 0);
}

}  // namespace hscl
