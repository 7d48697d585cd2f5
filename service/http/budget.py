"""How much memory the requests in flight of a worker may take, in longest bodies. Apart from admission control, which
counts it, so that whoever decides how many workers there are need load nothing of the service.
"""

# What one request of the longest body may take, whatever is in it, and more.
BUDGET = 12
# The reserve of short bodies, in longest bodies: long ones do not crowd them out.
RESERVE = 4
# Neither is less than this, however short the longest body may be.
LEAST_MEMORY = 16 << 20
