"""Diagnosis of a release that is stuck or has failed: findings, each with its cause and its remedy."""
