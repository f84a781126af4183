"""What the end-to-end tests share: the lab, one ballastd, its API, and waiting on conditions."""
