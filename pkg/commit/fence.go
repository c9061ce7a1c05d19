// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Keys in NB_Global.external_ids.
const (
	// EpochKey is the number of leaders so far.
	EpochKey = "woven/epoch"
	// LeaderKey is a random UUID that each leader creates when its epoch begins. The number alone is not enough: it
	// begins at 1 again after a wipe, so that a former leader could have it.
	LeaderKey = "woven/leader"
	// CompleteKey is true when everything that the leader knew at the begin of its epoch is in the database. Who starts
	// with empty databases can wait for it before the nodes see the southbound database.
	CompleteKey = "woven/complete"
)

// takeOverAttempts limits how often one TakeOver retries because another client was faster.
const takeOverAttempts = 20

// maxEpoch is the largest number that counts as an epoch. A larger one is not ours.
const maxEpoch = math.MaxInt64 / 2

// ErrNotPermitted means that Claim.Permit did not permit to take over.
var ErrNotPermitted = errors.New("this controller may not take over the northbound database")

// Fence lets only the current leader write: every transaction begins with a wait on the leader's epoch and UUID (RFC
// 7047 §5.2.6, with timeout 0), so a leader that was paused and comes back can change nothing.
type Fence struct {
	Global string // UUID of the NB_Global row
	Epoch  int64
	Leader string // see [LeaderKey]
}

// Claim says which epoch may begin.
type Claim struct {
	// Above is the largest epoch that this process has had: the new one is larger than it and than the database's.
	Above int64
	// Permit reports whether this process holds the lease. It is called after the database was read and before it is
	// written; a write of another leader between the two refuses ours. nil permits.
	Permit func() bool
}

// TakeOver begins a new epoch. Of two concurrent attempts one fails its wait and retries.
func TakeOver(ctx context.Context, db DB, claim Claim) (Fence, error) {
	next := Fence{Leader: uuid.NewString()}
	for range takeOverAttempts {
		old := read(db)
		if claim.Permit != nil && !claim.Permit() {
			return Fence{}, ErrNotPermitted
		}
		next.Global, next.Epoch = old.global, max(old.epoch, claim.Above)+1
		results, err := db.Transact(ctx, old.wait(), next.write())
		if err != nil {
			return Fence{}, fmt.Errorf("take over the northbound database: %w", err)
		}
		switch failed := firstError(results); {
		case failed == nil && len(results) < 2:
			return Fence{}, fmt.Errorf("take over the northbound database: %d results for 2 operations", len(results))
		case failed == nil:
			if next.Global == "" {
				next.Global = results[1].UUID.GoUUID
			}
			return next, nil
		case results[0].Error == "": // not the wait, whose failure only means that the row has changed
			return Fence{}, fmt.Errorf("take over the northbound database: %w", failed)
		}
	}
	return Fence{}, errors.New("take over the northbound database: NB_Global changes all the time")
}

// Relation compares the epoch in the database with a leader's.
type Relation int

// The values of [Relation].
const (
	Current Relation = iota // the leader's epoch is in the database
	Lost                    // the database has none or a lower one: it was wiped or restored from an older copy
	Passed                  // another leader has begun an epoch
)

// Relation compares the epoch in the cache with f.
func (f Fence) Relation(db DB) Relation {
	switch now := read(db); {
	case now.global == f.Global && now.epoch == f.Epoch && now.leader == f.Leader:
		return Current
	case now.epoch < f.Epoch || now.leader == f.Leader:
		return Lost
	}
	return Passed
}

// state is what NB_Global has.
type state struct {
	global string // UUID of the row; empty if there is none
	ids    map[string]string
	epoch  int64 // 0 without one, and if it is not a number
	leader string
}

// read reads the epoch from the cache.
func read(db DB) (s state) {
	db.Each(nb.NBGlobalTable, func(uuid string, row model.Model) bool {
		global, ok := row.(*nb.NBGlobal)
		if !ok {
			return false
		}
		s.global, s.ids, s.leader = uuid, global.ExternalIDs, global.ExternalIDs[LeaderKey]
		if n, err := strconv.ParseInt(s.ids[EpochKey], 10, 64); err == nil && n >= 0 && n <= maxEpoch {
			s.epoch = n
		}
		return false
	})
	return s
}

// wait succeeds while the row is as it was read.
func (s state) wait() ovsdb.Operation {
	if s.global == "" {
		return waitFor([]ovsdb.Condition{}, []string{"_uuid"})
	}
	ids := map[any]any{}
	for k, v := range s.ids {
		ids[k] = v
	}
	return waitFor(byUUID(s.global), []string{"external_ids"}, ovsdb.Row{"external_ids": ovsdb.OvsMap{GoMap: ids}})
}

// wait succeeds while the epoch is ours.
func (f Fence) wait() ovsdb.Operation {
	where := []ovsdb.Condition{ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, f.ids())}
	return waitFor(where, []string{"_uuid"}, ovsdb.Row{"_uuid": ovsdb.UUID{GoUUID: f.Global}})
}

// write writes the epoch. It inserts the NB_Global row if it is missing, as `ovn-nbctl init` does.
func (f Fence) write() ovsdb.Operation {
	if f.Global == "" {
		return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.NBGlobalTable, Row: ovsdb.Row{"external_ids": f.ids()}}
	}
	return replaceIDs(f.Global, ovsdb.OvsSet{GoSet: []any{EpochKey, LeaderKey, CompleteKey}}, f.ids())
}

// Complete writes that the database has everything, see [CompleteKey].
func (f Fence) Complete(ctx context.Context, db DB) error {
	set := ovsdb.OvsMap{GoMap: map[any]any{CompleteKey: "true"}}
	results, err := db.Transact(ctx, f.wait(), replaceIDs(f.Global, ovsdb.OvsSet{GoSet: []any{CompleteKey}}, set))
	if err == nil {
		err = firstError(results)
	}
	if err != nil {
		return fmt.Errorf("write that the northbound database is complete: %w", err)
	}
	return nil
}

// replaceIDs writes keys of NB_Global.external_ids.
func replaceIDs(global string, remove ovsdb.OvsSet, insert ovsdb.OvsMap) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: nb.NBGlobalTable, Where: byUUID(global),
		Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, remove),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, insert),
		},
	}
}

func (f Fence) ids() ovsdb.OvsMap {
	return ovsdb.OvsMap{GoMap: map[any]any{EpochKey: strconv.FormatInt(f.Epoch, 10), LeaderKey: f.Leader}}
}

func waitFor(where []ovsdb.Condition, columns []string, rows ...ovsdb.Row) ovsdb.Operation {
	timeout := 0
	return ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: nb.NBGlobalTable, Timeout: &timeout, Until: string(ovsdb.WaitConditionEqual),
		Where: where, Columns: columns, Rows: rows,
	}
}

func byUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

func firstError(results []ovsdb.OperationResult) error {
	for _, r := range results {
		if r.Error != "" {
			return resultError(r)
		}
	}
	return nil
}
