// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wovensdn/woven/pkg/engine"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Fetch asks a controller, whose address is like "http://127.0.0.1:10660", what it knows of an object.
func Fetch(ctx context.Context, client *http.Client, controller, object string) (x engine.Explanation, err error) {
	at, err := url.Parse(controller)
	if err != nil || at.Host == "" {
		return x, fmt.Errorf("%q is not the URL of a controller, such as http://127.0.0.1:10660", controller)
	}
	at.Path, at.RawQuery = Path+"owners", url.Values{"object": {object}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return x, fmt.Errorf("ask the controller: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return x, fmt.Errorf("ask the controller: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return x, fmt.Errorf("read the answer of the controller at %s: %w", controller, err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return x, fmt.Errorf("the controller at %s does not serve %s: it needs the flag --enable-pprof", controller, Path)
	default:
		return x, fmt.Errorf("the controller at %s answers %s: %s", controller, answer.Status, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, &x); err != nil {
		return x, fmt.Errorf("read the answer of the controller at %s: %w", controller, err)
	}
	return x, nil
}
