// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// EpochKey in NB_Global.external_ids is the number of leaders so far.
const EpochKey = "woven/epoch"

// Fence lets only the current leader write: every transaction begins with a wait on the leader's epoch (RFC 7047
// §5.2.6, with timeout 0), so a leader that was paused and comes back can change nothing.
type Fence struct {
	Global string // UUID of the NB_Global row
	Epoch  int64
}

// TakeOver begins a new epoch. Of two concurrent attempts one fails its wait and retries.
func TakeOver(ctx context.Context, db DB) (Fence, error) {
	for ctx.Err() == nil {
		old, seeded, err := current(db)
		if err != nil {
			return Fence{}, fmt.Errorf("take over the northbound database: %w", err)
		}
		ops := []ovsdb.Operation{old.wait(), old.next().write()}
		if !seeded {
			ops = old.seed()
		}
		results, err := db.Transact(ctx, ops...)
		if err != nil {
			return Fence{}, fmt.Errorf("take over the northbound database: %w", err)
		}
		failed := firstError(results)
		switch {
		case failed == nil && seeded:
			return old.next(), nil
		case failed != nil && (!seeded || results[0].Error == ""): // not the wait, whose failure only means that another leader was faster
			return Fence{}, fmt.Errorf("take over the northbound database: %w", failed)
		}
	}
	return Fence{}, fmt.Errorf("take over the northbound database: %w", ctx.Err())
}

// current reads the epoch from the cache; seeded is false where there is none. An epoch that does not parse is an
// error: no controller can lead until it is removed.
func current(db DB) (fence Fence, seeded bool, err error) {
	db.Each(nb.NBGlobalTable, func(uuid string, row model.Model) bool {
		global, ok := row.(*nb.NBGlobal)
		if !ok {
			return false
		}
		fence.Global = uuid
		text, found := global.ExternalIDs[EpochKey]
		if !found {
			return false
		}
		if fence.Epoch, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = fmt.Errorf("NB_Global external_ids:%s is not a number: %w", EpochKey, err)
		}
		seeded = err == nil
		return false
	})
	return fence, seeded, err
}

func (f Fence) next() Fence { return Fence{Global: f.Global, Epoch: f.Epoch + 1} }

// seed writes epoch 0 where there is none; "insert" keeps an existing key as it is. It also inserts a missing NB_Global
// row, as `ovn-nbctl init` does.
func (f Fence) seed() []ovsdb.Operation {
	zero := ovsdb.OvsMap{GoMap: map[any]any{EpochKey: "0"}}
	if f.Global == "" {
		return []ovsdb.Operation{{Op: ovsdb.OperationInsert, Table: nb.NBGlobalTable, Row: ovsdb.Row{"external_ids": zero}}}
	}
	return []ovsdb.Operation{{
		Op: ovsdb.OperationMutate, Table: nb.NBGlobalTable, Where: f.global(),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, zero)},
	}}
}

func (f Fence) global() []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: f.Global})}
}

func firstError(results []ovsdb.OperationResult) error {
	for _, r := range results {
		if r.Error != "" {
			return resultError(r)
		}
	}
	return nil
}

// wait succeeds while the epoch is ours.
func (f Fence) wait() ovsdb.Operation {
	timeout := 0
	ours := ovsdb.OvsMap{GoMap: map[any]any{EpochKey: strconv.FormatInt(f.Epoch, 10)}}
	return ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: nb.NBGlobalTable, Timeout: &timeout, Until: string(ovsdb.WaitConditionEqual),
		Where:   []ovsdb.Condition{ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, ours)},
		Columns: []string{"_uuid"},
		Rows:    []ovsdb.Row{{"_uuid": ovsdb.UUID{GoUUID: f.Global}}},
	}
}

func (f Fence) write() ovsdb.Operation {
	key := ovsdb.OvsSet{GoSet: []any{EpochKey}}
	pair := ovsdb.OvsMap{GoMap: map[any]any{EpochKey: strconv.FormatInt(f.Epoch, 10)}}
	return ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: nb.NBGlobalTable, Where: f.global(),
		Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, key),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, pair),
		},
	}
}
