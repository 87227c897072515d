"""Commands as jobs of a cluster: the processes of a training run, or shards of many videos."""
