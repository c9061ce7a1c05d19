// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// fileLock is an advisory lock (flock(2)). The kernel releases it when its process exits, for whatever reason.
type fileLock struct{ file *os.File }

// acquire takes the lock. If another process holds it, it calls waiting once and waits.
func acquire(ctx context.Context, path string, waiting func()) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the lock directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- below our own directory
	if err != nil {
		return nil, fmt.Errorf("open lock %s: %w", path, err)
	}
	waited := false
	var lockErr error
	err = waitUntil(ctx, 100*time.Millisecond, func() bool {
		lockErr = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(lockErr, syscall.EWOULDBLOCK) {
			if !waited {
				waiting()
				waited = true
			}
			return false
		}
		return true
	})
	if err = errors.Join(err, ignore(lockErr, syscall.EWOULDBLOCK)); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	return &fileLock{file: file}, nil
}

func (l *fileLock) release() { _ = l.file.Close() }

// ignore returns nil for one expected error.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
