// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"testing"
	"time"
)

// The time to settle ends during a reading: its differences are returned, and an error still is one.
func TestPersistent(t *testing.T) {
	over, again := make(chan struct{}), make(chan time.Time)
	close(over)
	difference := []Difference{{Check: "nb", Message: "NB port a has no pod"}}
	found, err := persistent(over, again, func() ([]Difference, error) { return difference, nil })
	if err != nil || len(found) != 1 {
		t.Errorf("got %v, %v, want the difference", found, err)
	}
	broken := errors.New("not readable")
	if _, err := persistent(over, again, func() ([]Difference, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	soon := make(chan time.Time, 1)
	soon <- time.Time{}
	readings := 0
	found, err = persistent(nil, soon, func() ([]Difference, error) {
		if readings++; readings == 1 {
			return difference, nil
		}
		return nil, nil
	})
	if err != nil || len(found) > 0 || readings != 2 {
		t.Errorf("got %v, %v after %d readings, want none after 2", found, err, readings)
	}
}
