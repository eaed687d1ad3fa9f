"""Runs one case of Paho's interoperability tests, or lists them: paho-case.py DIRECTORY MODULE [PORT CASE]

The modules take their settings as globals that their own command line sets; that command line does not let a port through.
"""

import importlib
import logging
import os
import sys
import unittest

directory, name = sys.argv[1:3]
sys.path.insert(0, directory)
module = importlib.import_module(name)

if len(sys.argv) == 3:
    print("\n".join(unittest.TestLoader().getTestCaseNames(module.Test)))
    sys.exit()

module.host = "127.0.0.1"
module.port = int(sys.argv[3])
module.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
module.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
module.nosubscribe_topics = ("test/nosubscribe",)
module.topic_prefix = "client_test5/"
logging.getLogger().setLevel(logging.ERROR)

suite = unittest.TestSuite([module.Test(sys.argv[4])])
result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
sys.stdout.flush()
# Threads of the clients may still read from their sockets.
logging.shutdown()
os._exit(0 if result.wasSuccessful() else 1)
