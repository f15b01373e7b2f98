"""What both halves of movierank share: schemas, histories, retrieval, features, ranking, the bundle.

Nothing here knows Dagster, MLflow, Litestar or HTTP; `tests/test_architecture.py` holds that.
"""
