package engine

import "github.com/wovensdn/woven/pkg/model"

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	Woken(kind model.Kind, owners int)
	Compiled(kind model.Kind, seconds float64)
	Committed(ops, units int, seconds float64, err error)
	Drift(table string)
	Connected(connected bool)
	Epoch(epoch int64)
}

type silent struct{}

func (silent) Woken(model.Kind, int)              {}
func (silent) Compiled(model.Kind, float64)       {}
func (silent) Committed(int, int, float64, error) {}
func (silent) Drift(string)                       {}
func (silent) Connected(bool)                     {}
func (silent) Epoch(int64)                        {}
