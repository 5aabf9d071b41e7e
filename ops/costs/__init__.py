"""What a day of traffic needs and costs: instances, queues, functions, the bill.

See docs/scaling.md for what it says about 10, 1,000 and 100,000 predictions a second.
"""
