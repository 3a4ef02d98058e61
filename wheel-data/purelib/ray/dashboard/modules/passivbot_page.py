"""By this file Ray's dashboard finds the page of passivbot-cluster; it is installed by that package.

The dashboard imports every module beside this one, in its head and in the agent of every node, and ends if
one raises. So the page is imported in the head alone, and whatever it raises is logged.
"""

import logging
import sys
from importlib import import_module

if "ray.dashboard.head" in sys.modules:
    try:
        import_module("cluster.dashboard.module")
        import_module("cluster.dashboard.bar").install()
    except (Exception, SystemExit):
        logging.getLogger(__name__).exception("the page of passivbot-cluster is left out")
