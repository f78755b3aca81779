"""Who spawns into its own full pool runs that inline; with room it is spawned as ever."""
import eventlet
from eventlet.greenpool import GreenPool


def job(name):
    print(name, 'begins')
    eventlet.sleep(0)
    print(name, 'ends')
    return name.upper()


def member(pool, name):
    print(name, 'free', pool.free())
    thread = pool.spawn(job, 'child of ' + name)
    print(name, 'has spawned')
    print(name, 'waits for', thread.wait())
    pool.spawn_n(job, 'second child of ' + name)
    print(name, 'ends')


for size in (1, 2):
    print('size', size)
    pool = GreenPool(size)
    pool.spawn(member, pool, 'member')
    pool.waitall()
print('both full')
pool = GreenPool(2)
pool.spawn(member, pool, 'a')
pool.spawn(member, pool, 'b')
pool.waitall()


def nest(pool, depth):
    print('depth', depth)
    return depth if depth == 3 else pool.spawn(nest, pool, depth + 1).wait()


pool = GreenPool(1)
print('nested', pool.spawn(nest, pool, 0).wait())
