"""Commands on run folders of any job: a list of them, a comparison, and running one again."""
