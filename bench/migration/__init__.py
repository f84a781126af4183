"""The parts of bench/migration_bench.py: guests and links, the ways to move a guest, the cases, and their judgement."""
