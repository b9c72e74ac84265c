"""`python -m addp_bench` is `addp-bench`."""

from addp_bench.cli import main

if __name__ == "__main__":
    main()
