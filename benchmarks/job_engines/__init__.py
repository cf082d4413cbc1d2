"""Programs that run jobs on one engine each, with the same measurements: `python -m benchmarks.job_engines.NAME`."""
