// SPDX-License-Identifier: Apache-2.0

// Package commit writes units of change to the northbound database: one transaction for everything that is ready,
// guarded by a fence. It takes a refused unit out of the transaction and commits the others.
package commit

import (
	"context"
	"errors"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/plan"
)

// DB is the part of the database client that this package needs.
type DB interface {
	Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error)
	// Peek returns a row of the cache, which must not be modified, or nil.
	Peek(table, uuid string) model.Model
	Each(table string, fn func(uuid string, row model.Model) bool)
}

// ErrFenced means that the database does not have this leader's epoch: another one has taken over, or the database was
// wiped or restored from an older copy, see [Fence.Relation].
var ErrFenced = errors.New("the northbound database does not have the epoch of this controller")

// Failure is a unit that was not written because the database refused it, or another unit of its owner.
type Failure struct {
	Unit  plan.Unit
	Cause plan.Unit // the unit that was refused
	Err   error
}

// Outcome is the result of a batch. Every unit is in one of its lists unless Err is set: then it is unknown which units
// were written, and everything in the batch must be compared again.
type Outcome struct {
	Done   []plan.Unit
	Stale  []plan.Unit // a row that they depend on was deleted: compare again
	Failed []Failure
	// Err is [ErrFenced] or an error of the connection.
	Err error
	// Transactions and Operations count what was sent.
	Transactions, Operations int
}

// Commit writes units, in one transaction if none of them is refused.
func Commit(ctx context.Context, db DB, fence Fence, units []plan.Unit) Outcome {
	c := &committer{db: db, fence: fence}
	c.batch(ctx, units)
	return c.out
}

type committer struct {
	db    DB
	fence Fence
	out   Outcome
}

func (c *committer) batch(ctx context.Context, units []plan.Unit) {
	for len(units) > 0 && c.out.Err == nil {
		ops := plan.Encode(units)
		result, err := c.transact(ctx, ops)
		if err != nil {
			c.out.Err = err
			return
		}
		switch {
		case result.err == nil:
			c.classify(units, result.stale)
			return
		case len(units) == 1:
			c.out.Failed = append(c.out.Failed, Failure{Unit: units[0], Cause: units[0], Err: result.err})
			return
		case len(result.culprits) == 1:
			units = c.exclude(units, result.culprits[0], result.err)
		default: // the operation is part of many units, or the commit as a whole was refused
			half := len(units) / 2
			c.batch(ctx, units[:half])
			units = units[half:]
		}
	}
}

// exclude takes all units of the culprit's owner out of the batch: no owner wants half of its changes.
func (c *committer) exclude(units []plan.Unit, culprit int, err error) []plan.Unit {
	owner := units[culprit].Owner
	rest := make([]plan.Unit, 0, len(units))
	for i, u := range units {
		switch {
		case i == culprit || (owner != (fact.Owner{}) && u.Owner == owner):
			c.out.Failed = append(c.out.Failed, Failure{Unit: u, Cause: units[culprit], Err: err})
		default:
			rest = append(rest, u)
		}
	}
	return rest
}

// classify divides the units of a committed transaction into done and stale.
func (c *committer) classify(units []plan.Unit, stale map[int]bool) {
	missing := plan.Missing(NewView(c.db), units)
	for i, u := range units {
		if stale[i] || missing[i] || u.Action == plan.Insert && c.db.Peek(u.Ref.Table, u.Ref.UUID) == nil {
			c.out.Stale = append(c.out.Stale, u)
			continue
		}
		c.out.Done = append(c.out.Done, u)
	}
}

type result struct {
	err      error
	culprits []int        // units of the refused operation; none if the commit as a whole was refused
	stale    map[int]bool // units whose row was deleted meanwhile
}

// transact sends one transaction and reads its results (RFC 7047 §4.1.3): one for each operation up to the first that
// fails, and one more if the commit as a whole is refused.
func (c *committer) transact(ctx context.Context, ops []plan.Op) (result, error) {
	request := make([]ovsdb.Operation, 0, len(ops)+1)
	request = append(request, c.fence.wait())
	for _, op := range ops {
		request = append(request, op.Operation)
	}
	c.out.Transactions++
	c.out.Operations += len(ops)
	results, err := c.db.Transact(ctx, request...)
	if err != nil {
		return result{}, fmt.Errorf("northbound transaction of %d operations: %w", len(ops), err)
	}
	var v result
	for i, r := range results {
		switch {
		case r.Error != "" && i == 0:
			return result{}, fmt.Errorf("%w: %d (%s)", ErrFenced, c.fence.Epoch, r.Error)
		case r.Error != "":
			v.err = resultError(r)
			if i-1 < len(ops) {
				v.culprits = ops[i-1].Units
				v.err = fmt.Errorf("%s %s: %w", request[i].Op, request[i].Table, v.err)
			}
			return v, nil
		case i > 0 && i-1 < len(ops) && ops[i-1].OneRow && r.Count == 0:
			v.stale = mark(v.stale, ops[i-1].Units)
		}
	}
	if len(results) < len(request) {
		return result{}, fmt.Errorf("northbound transaction: %d results for %d operations", len(results), len(request))
	}
	return v, nil
}

func mark(stale map[int]bool, units []int) map[int]bool {
	if stale == nil {
		stale = map[int]bool{}
	}
	for _, u := range units {
		stale[u] = true
	}
	return stale
}

// RefusedError is the database's error for an operation (RFC 7047 §3.1, <error>).
type RefusedError struct {
	Code    string // "constraint violation", "duplicate uuid", …
	Details string
}

func (e *RefusedError) Error() string {
	if e.Details == "" {
		return e.Code
	}
	return e.Code + ": " + e.Details
}

func resultError(r ovsdb.OperationResult) error {
	return &RefusedError{Code: r.Error, Details: r.Details}
}
