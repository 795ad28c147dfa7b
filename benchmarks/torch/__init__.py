"""The torch optimizer and problem beside their peers."""
