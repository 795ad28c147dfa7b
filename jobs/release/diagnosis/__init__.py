"""Why a release is stuck or has failed: findings, each with its cause and its remedy."""
