"""Many hosts on one ClickHouse: the store and its tables, what a host delivers, and whether it has arrived."""
