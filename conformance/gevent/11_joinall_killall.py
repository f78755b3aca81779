"""joinall stops at a count or a time and gives who ended; killall kills those who are left."""
import gevent


def child(name, wait_s):
    try:
        gevent.sleep(wait_s)
        print(name, 'ends')
    except gevent.GreenletExit:
        print(name, 'was killed')
        gevent.sleep(0.02)
        raise
    return name


def spawn():
    return [gevent.spawn(child, name, wait_s)
            for name, wait_s in (('c', 0.06), ('a', 0.02), ('b', 0.04), ('never', 1))]


tasks = spawn()
print('of two:', *sorted(task.value for task in gevent.joinall(tasks, count=2)))
print('of none in no time:', len(gevent.joinall(tasks[3:], timeout=0)))
print('in 40 ms:', *sorted(task.value for task in gevent.joinall(tasks, timeout=0.04)))
gevent.killall(tasks)
print('all dead:', all(task.dead for task in tasks))

tasks = spawn()
gevent.sleep(0)
gevent.killall(tasks[:2], block=False)
print('not yet, dead:', sum(task.dead for task in tasks))
gevent.killall(tasks)
print('all dead:', all(task.dead for task in tasks))
gevent.killall([gevent.spawn(print, 'never printed') for _ in range(2)])
