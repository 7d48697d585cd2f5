"""How much memory the requests in flight of a worker may take, in longest bodies. Apart from admission control, which
counts it, so that whoever decides how many workers there are need load nothing of the service.
"""

# What one request of the longest body may take, whatever is in it, and more.
BUDGET = 12
# Beyond the budget, what short requests may take: long ones do not crowd them out.
RESERVE = 4
