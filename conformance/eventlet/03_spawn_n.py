"""spawn_n gives no result, and what it raises ends it alone; it can be killed."""
import eventlet
from eventlet import debug, greenthread

debug.hub_exceptions(False)


def fails():
    print('fails')
    raise ValueError('broken')


def counts(name):
    try:
        for number in (1, 2, 3):
            print(name, number)
            eventlet.sleep(0.04)
    finally:
        print(name, 'ends')


eventlet.spawn_n(counts, 'a')
eventlet.spawn_n(fails)
victim = eventlet.spawn_n(counts, 'b')
print('has a result:', hasattr(victim, 'wait'))
eventlet.sleep(0.06)
greenthread.kill(victim)
print('killed', victim.dead)
eventlet.sleep(0.1)
