"""Images: decoded, kept by partition, read as rows."""
