"""Floor 0: the words of the field, as frozen values and two tables.

Holds no behaviour beyond reading and showing a value; imports nothing of the house. Every other room speaks in these words.
"""
