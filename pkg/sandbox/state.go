// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is the record of a sandbox that outlives a command. It is written before anything that it names is created, so
// that a later command finds and removes what a killed one left.
type State struct {
	Plan     Plan               `json:"plan"`
	Complete bool               `json:"complete"` // `up` has finished
	Capsules map[string]Process `json:"capsules"` // pid 1 of each, in the host's pid namespace
	Cgroups  []string           `json:"cgroups"`  // directories to remove, with all below
}

func newState(p Plan) *State { return &State{Plan: p, Capsules: map[string]Process{}} }

func readState(paths Paths) (*State, error) {
	raw, err := os.ReadFile(paths.stateFile())
	if err != nil {
		return nil, fmt.Errorf("read the state of sandbox %s: %w", paths.Name, err)
	}
	state := &State{}
	if err := json.Unmarshal(raw, state); err != nil {
		return nil, fmt.Errorf("decode %s: %w", paths.stateFile(), err)
	}
	return state, nil
}

func (s *State) write() error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	return writeAtomically(s.Plan.Paths.stateFile(), raw)
}

// alive reports whether any capsule of the sandbox still runs.
func (s *State) alive() bool {
	for _, process := range s.Capsules {
		if process.Alive() {
			return true
		}
	}
	return false
}

func readStatus(file string) (CapsuleStatus, error) {
	var status CapsuleStatus
	raw, err := os.ReadFile(file) // #nosec G304 -- below our own directory
	if err != nil {
		return status, fmt.Errorf("read the status of a capsule: %w", err)
	}
	if err := json.Unmarshal(raw, &status); err != nil {
		return status, fmt.Errorf("decode %s: %w", file, err)
	}
	return status, nil
}

// List returns the names of the sandboxes that have a run directory, running or not.
func List(home Home) ([]string, error) {
	entries, err := os.ReadDir(home.runDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(home.runDir(), entry.Name(), "state.json")); err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
