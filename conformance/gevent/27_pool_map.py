"""map and imap give results in the order of the input, imap_unordered in that of completion."""
import gevent
from gevent.pool import Pool


def job(step):
    gevent.sleep(0.03 * step)
    print('job', step, 'ends')
    if step == 5:
        raise ValueError('five')
    return step * 10


pool = Pool(3)
print('map', pool.map(job, [3, 1, 2]))
for value in pool.imap(job, [3, 1, 2]):
    print('imap', value)
for value in pool.imap_unordered(job, [3, 1, 2]):
    print('imap_unordered', value)
print('apply', pool.apply(job, (1,)))
handle = pool.map_async(job, [2, 1])
print('map_async ready:', handle.ready())
print('map_async', handle.get())
results = pool.imap(job, [1, 5, 2])
for _ in range(3):
    try:
        print('imap', next(results))
    except ValueError as error:
        print('imap raised', error)
print('narrow')
print('map', Pool(1).map(job, [2, 1]))
