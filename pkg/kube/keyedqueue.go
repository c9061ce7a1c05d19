// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/workqueue"

	"github.com/wovensdn/woven/pkg/model"
)

// ErrNotLeading means that a write was not started because this process does not lead.
var ErrNotLeading = errors.New("not leading")

// task is one write. done receives its result.
type task struct {
	run  func(context.Context) error
	done func(error)
}

// keyedQueue runs tasks in parallel, except that the tasks of one object run in order.
type keyedQueue struct {
	ready workqueue.TypedInterface[model.Ref] // objects with tasks; one worker for each at a time

	mu      sync.Mutex
	waiting map[model.Ref][]task
}

func newKeyedQueue() *keyedQueue {
	return &keyedQueue{ready: workqueue.NewTyped[model.Ref](), waiting: map[model.Ref][]task{}}
}

// add never blocks.
func (q *keyedQueue) add(ref model.Ref, t task) {
	q.mu.Lock()
	q.waiting[ref] = append(q.waiting[ref], t)
	q.mu.Unlock()
	q.ready.Add(ref)
}

// run runs tasks in workers goroutines until the context ends; tasks that are left then end with the context's error.
func (q *keyedQueue) run(ctx context.Context, workers int) error {
	defer context.AfterFunc(ctx, q.ready.ShutDown)()
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			for {
				ref, shutdown := q.ready.Get()
				if shutdown {
					return nil
				}
				q.next(ctx, ref)
			}
		})
	}
	return g.Wait()
}

func (q *keyedQueue) next(ctx context.Context, ref model.Ref) {
	defer q.ready.Done(ref)
	t, more := q.take(ref)
	if t.run == nil {
		return
	}
	err := ctx.Err()
	if err == nil {
		err = t.run(ctx)
	}
	t.done(err)
	if more {
		q.ready.Add(ref)
		if ctx.Err() != nil {
			q.abandon(ref, ctx.Err()) // the work queue accepts no more keys
		}
	}
}

func (q *keyedQueue) take(ref model.Ref) (t task, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	tasks := q.waiting[ref]
	if len(tasks) == 0 {
		return task{}, false
	}
	if len(tasks) == 1 {
		delete(q.waiting, ref)
	} else {
		q.waiting[ref] = tasks[1:]
	}
	return tasks[0], len(tasks) > 1
}

func (q *keyedQueue) abandon(ref model.Ref, err error) {
	for {
		t, _ := q.take(ref)
		if t.run == nil {
			return
		}
		t.done(err)
	}
}
