"""imap and starmap give results in the order of the input, and run no more at once than the pool's size."""
import eventlet
from eventlet import debug
from eventlet.greenpool import GreenPool

debug.hub_exceptions(False)
running = [0]


def job(step, add=0):
    running[0] += 1
    print('job', step, 'begins, running', running[0])
    eventlet.sleep(0.02 * step)
    running[0] -= 1
    print('job', step, 'ends')
    if step == 5:
        raise ValueError('five')
    return step * 10 + add


pool = GreenPool(2)
for value in pool.imap(job, [4, 1, 2]):
    print('imap', value)
print('two inputs', list(pool.imap(job, [1, 2], [7, 8])))
print('starmap', list(pool.starmap(job, [(1, 5), (2, 6)])))
results = pool.imap(job, [1, 5, 2])
while True:
    try:
        print('next', next(results))
    except ValueError as error:
        print('raised', error)
    except StopIteration:
        print('no more')
        break


def numbers():
    for number in range(6):
        print('drawn', number)
        yield number


results = GreenPool(2).imap(lambda number: number, numbers())
print('first', next(results))
eventlet.sleep(0.02)
print('and no more is drawn than the pool holds')
