// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/wovensdn/woven/pkg/model"

// Observer receives events for metrics. Its methods must not block.
type Observer interface {
	Woken(kind model.Kind, owners int)
	Compiled(kind model.Kind, seconds float64)
	Committed(ops, units int, seconds float64, err error)
	Drift(table string)
	Connected(connected bool)
	Epoch(epoch int64)
	// Compared reports a full comparison with the database.
	Compared()
}

type noObserver struct{}

func (noObserver) Woken(model.Kind, int)              {}
func (noObserver) Compiled(model.Kind, float64)       {}
func (noObserver) Committed(int, int, float64, error) {}
func (noObserver) Drift(string)                       {}
func (noObserver) Connected(bool)                     {}
func (noObserver) Epoch(int64)                        {}
func (noObserver) Compared()                          {}
