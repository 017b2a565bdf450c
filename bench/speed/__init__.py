"""How fast a method's step is: `bench speed`. No dataset and no trained network is needed.

knobs.py        what may be turned on a method: its batch size and its engine
tables.py       named tables of rows, as data that plugins offer
random_data.py  a dataset's shape filled with noise
planning.py     from what the user named to the rows to measure
measuring.py    one row, in a process of its own
floor.py        the convolutions alone: what no step over the same network can be faster than
session.py      rows and floors, one process after the other
rows.py         what a row says
"""
