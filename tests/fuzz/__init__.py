"""Random networks through the public API, and all engines held against each other bit for bit.

python -m tests.fuzz --seed 17                    one network, everything about it
python -m tests.fuzz --count 10000 --jobs 2       many, with counts and a list of failures
"""
