"""map and imap spawn from a greenlet of their own, and go ahead of whoever takes the results."""
import gevent
from gevent.pool import Group, Pool


def turns(name, count):
    for number in range(count):
        print(name, number)
        gevent.sleep(0)


def square(number):
    print('square', number)
    gevent.sleep(0)
    return number * number


pool = Pool(2)
for results in (pool.imap, pool.imap_unordered, pool.map, Group().imap, Group().imap_unordered, Group().map):
    other = gevent.spawn(turns, 'other', 8)
    for result in results(square, [1, 2, 3]):
        print('result', result)
    other.join()

results = pool.imap(square, range(6))
print('first', next(results))
gevent.sleep(0.02)
print('all are done:', len(pool) == 0)
print('rest', *results)

places = Pool(1)
held = places.spawn(gevent.sleep, 0)
waits = gevent.spawn(places.spawn, print, 'spawned by who waited')
gevent.sleep(0)
gevent.sleep(0)
held.join()
places.spawn(print, 'spawned by who came')
waits.join()
places.join()
