"""A GreenPile gives results in the order of its spawns, whoever ends first."""
import eventlet
from eventlet import debug
from eventlet.greenpool import GreenPile, GreenPool

debug.hub_exceptions(False)


def job(name, wait_s):
    eventlet.sleep(wait_s)
    print(name, 'ends')
    if name == 'bad':
        raise ValueError('broken')
    return name


pile = GreenPile()
for name, wait_s in (('slow', 0.06), ('quick', 0.02), ('middle', 0.04)):
    pile.spawn(job, name, wait_s)
for result in pile:
    print('result', result)

pool = GreenPool(2)
first, second = GreenPile(pool), GreenPile(pool)
for name, wait_s in (('a', 0.04), ('bad', 0.02), ('c', 0.04)):
    first.spawn(job, name, wait_s)
    print('spawned', name, 'free', pool.free())
second.spawn(job, 'other', 0.06)
while True:
    try:
        print('next', next(first))
    except ValueError as error:
        print('raised', error)
    except StopIteration:
        print('no more')
        break
print('the other pile', *second)
