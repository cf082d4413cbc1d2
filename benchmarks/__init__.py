"""The benchmarks of chutes against its peers; docs/benchmarks.md says how they are run."""
