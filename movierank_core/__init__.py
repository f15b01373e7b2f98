"""Shared by the pipeline and the service: schemas, histories, retrieval, features, ranking, the bundle.

Nothing here imports Dagster, MLflow, Litestar or an HTTP client (`tests/test_architecture.py`).
"""

from pathlib import Path

from movierank_core.kernels.code_cache import choose_code_cache

# Before any module imports numba, which reads the variable when a kernel is defined.
choose_code_cache(Path(__file__).resolve().parent)
