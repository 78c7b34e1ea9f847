"""Prefect flows: order, schedule, retries."""
