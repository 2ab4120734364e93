"""From scores to results: metrics, threshold, peers, report."""
