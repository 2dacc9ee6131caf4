"""The edge towards the disk: the journal (every write), the query side (every read), schema and migrations.

Nothing above this room knows which store it is; `contract` says what a store is.
"""
