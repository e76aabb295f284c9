"""OctaSpace for Apache Airflow: rent a machine, wait for it, use it, stop it for certain.

Thin on purpose: these classes turn connections, contexts and events into calls of `octa_provider`, which knows about
money. Nothing here imports `requests` when a DAG file is parsed.
"""
