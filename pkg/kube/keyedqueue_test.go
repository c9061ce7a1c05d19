// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// Tasks of one object never overlap and run in order, and a slow object does not block the others.
func TestKeyedQueueKeepsTheOrderOfAnObject(t *testing.T) {
	l := newKeyedQueue()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	ran := map[string][]int{}
	var all sync.WaitGroup
	hold := make(chan struct{})
	slow := model.Ref{Kind: model.KindIP, Name: "slow"}
	all.Add(1)
	l.add(slow, task{run: func(context.Context) error { <-hold; return nil }, done: func(error) { all.Done() }})
	var others sync.WaitGroup
	for i := range 50 {
		for _, name := range []string{"a", "b", "c"} {
			others.Add(1)
			l.add(model.Ref{Kind: model.KindIP, Name: name}, task{
				run: func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					ran[name] = append(ran[name], i)
					return fmt.Errorf("%s %d", name, i)
				},
				done: func(err error) {
					if err == nil || err.Error() != fmt.Sprintf("%s %d", name, i) {
						t.Errorf("task %s %d ended with %v", name, i, err)
					}
					others.Done()
				},
			})
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, 3) }()
	others.Wait()
	close(hold)
	all.Wait()
	for name, order := range ran {
		if !slices.IsSorted(order) || len(order) != 50 {
			t.Errorf("%s ran in order %v", name, order)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Tasks that do not run because the queue stops end with the context's error.
func TestKeyedQueueEndsWaitingTasks(t *testing.T) {
	l := newKeyedQueue()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ref := model.Ref{Kind: model.KindIP, Name: "a"}
	var results []error
	for range 3 {
		l.add(ref, task{
			run:  func(context.Context) error { cancel(); return nil },
			done: func(err error) { results = append(results, err) },
		})
	}
	if err := l.run(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 || results[0] != nil || !errors.Is(results[1], context.Canceled) || !errors.Is(results[2], context.Canceled) {
		t.Errorf("results are %v, want nil and two times %v", results, context.Canceled)
	}
}
