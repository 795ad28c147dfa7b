"""One evaluation: a request, summed over all blocks, in this process or on a cluster; the same bits either way."""
