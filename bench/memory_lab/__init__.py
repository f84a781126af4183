"""The lab's parts of bench/memory_bench.py: its guests, what they get done, the other tools' rules, the cases."""
