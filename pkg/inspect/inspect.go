// SPDX-License-Identifier: Apache-2.0

// Package inspect serves what the engine knows under /debug/woven as JSON, and fetches and prints it for
// "woven-check why".
package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/wovensdn/woven/pkg/engine"
)

// Path is where the pages are.
const Path = "/debug/woven/"

// timeout bounds the wait for a step of the engine.
const timeout = 10 * time.Second

// Engine runs a function with the state of the engine, between two of its steps.
type Engine interface {
	Inspect(ctx context.Context, fn func(*engine.Core)) error
}

// Handlers are the pages, by path. They show object names, addresses and database rows, and only read: serve them where
// profiles are served.
//
//	owners             every object with facts, wants or problems
//	owners?object=REF  all of one object; REF is Kind/namespace/name, or Kind/name for cluster-scoped kinds
//	blocked            facts that wait for a row that is not in the database
//	quarantine         facts that the database refused
//	readers            what is read, and by how many objects
//	addresses          who holds which address, who waits for one, which records are contested
func Handlers(e Engine) map[string]http.Handler {
	return map[string]http.Handler{
		Path + "owners":     owners(e),
		Path + "blocked":    page(e, func(c *engine.Core) any { return c.Blocked() }),
		Path + "quarantine": page(e, func(c *engine.Core) any { return c.Quarantine() }),
		Path + "readers":    page(e, func(c *engine.Core) any { return c.Readers() }),
		Path + "addresses":  page(e, func(c *engine.Core) any { return c.Addresses() }),
	}
}

func owners(e Engine) http.Handler {
	all := page(e, func(c *engine.Core) any { return c.Owners() })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.URL.Query().Get("object")
		if text == "" {
			all.ServeHTTP(w, r)
			return
		}
		page(e, func(c *engine.Core) any {
			ref, err := c.Resolve(text)
			if err != nil {
				return err
			}
			return c.Explain(ref)
		}).ServeHTTP(w, r)
	})
}

// page answers with what get returns, or with "400 Bad Request" if that is an error.
func page(e Engine, get func(*engine.Core) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "only GET is served", http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		var content any
		if err := e.Inspect(ctx, func(c *engine.Core) { content = get(c) }); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if err, bad := content.(error); bad {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			http.Error(w, fmt.Sprintf("write JSON: %s", err), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(body, '\n')) // the client has gone
	})
}
