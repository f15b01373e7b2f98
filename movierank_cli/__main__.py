"""`python -m movierank_cli` is `movierank`."""

from movierank_cli.main import main

main()
