"""A kill goes through the victim's Timeout scope and stops its clock; a Timeout may end a kill."""
import gevent


def victim():
    try:
        with gevent.Timeout(0.04):
            gevent.sleep(1)
    except gevent.Timeout:
        print('never printed')
    finally:
        print('victim dies')
        gevent.sleep(0.06)
        print('no time-out came into the cleanup')


task = gevent.spawn(victim)
gevent.sleep(0)
task.kill()
print('successful:', task.successful())


def cleans():
    try:
        gevent.sleep(1)
    finally:
        gevent.sleep(0.06)
        print('cleaned up')


task = gevent.spawn(cleans)
gevent.sleep(0)
try:
    with gevent.Timeout(0.02):
        task.kill()
except gevent.Timeout:
    print('kill timed out, dead:', task.dead)
task.join()
print('joined, dead:', task.dead)
