"""Who kills goes on before those who hear of it; iwait at once; a spawn_later before a later sleep of that length."""
import gevent

MS = 0.001


def waits():
    gevent.sleep(1)


def cleans():
    try:
        gevent.sleep(1)
    finally:
        gevent.sleep(20 * MS)


for victim, name in ((waits, 'dies at once'), (cleans, 'cleans up')):
    task = gevent.spawn(victim)
    task.rawlink(lambda _, name=name: print(name + ': rawlink'))
    task.link(lambda _, name=name: print(name + ': link'))
    joiner = gevent.spawn(task.join)
    joiner.rawlink(lambda _, name=name: print(name + ': joined'))
    gevent.sleep(0)
    gevent.spawn(print, name + ': ready before')
    task.kill()
    print(name + ': killed')
    joiner.join()
    gevent.sleep(0)

tasks = [gevent.spawn(waits) for _ in range(3)]
for task in tasks:
    task.rawlink(lambda _: print('one of all'))
gevent.sleep(0)
gevent.killall(tasks)
print('all killed')
gevent.sleep(0)


def turns(name, count):
    for number in range(count):
        print(name, number)
        gevent.sleep(0)
    return name


for task in gevent.iwait([gevent.spawn(turns, *task) for task in (('a', 3), ('b', 1), ('c', 2))]):
    print(task.value, 'has ended')
gevent.spawn(print, 'ready before a join of the dead')
gevent.joinall([gevent.spawn(int)])
done = [gevent.spawn(int), gevent.spawn(int)]
gevent.sleep(0)
gevent.spawn(print, 'ready before')
gevent.joinall(done)
print('joined the dead')

gevent.spawn_later(20 * MS, print, 'spawned later')
gevent.sleep(20 * MS)
print('slept as long')
