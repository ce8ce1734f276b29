// btcd: a private chain that mines on request.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

const chainUser, chainPassword = "rig", "rig"

type chain struct {
	dir, program, address string
	running               *process
	// What btcd makes in the user's home though it is told to live elsewhere;
	// empty if it was there before.
	litter string
}

func newChain(dir, program string) (*chain, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	c := &chain{dir: filepath.Join(dir, "btcd"), program: program, address: address}
	if u, err := user.Current(); err == nil {
		litter := filepath.Join(u.HomeDir, ".btcd")
		if _, err := os.Stat(litter); errors.Is(err, os.ErrNotExist) {
			c.litter = litter
		}
	}
	return c, os.MkdirAll(c.dir, 0o700)
}

func (c *chain) certificate() string { return filepath.Join(c.dir, "rpc.cert") }

// run starts btcd; miningAddress may be empty as long as nothing is mined.
func (c *chain) run(miningAddress string) error {
	args := []string{
		"--regtest", "--txindex", "--nolisten", "--nodnsseed", "--rpcquirks",
		"--datadir=" + filepath.Join(c.dir, "data"),
		"--logdir=" + filepath.Join(c.dir, "logs"),
		"--configfile=" + filepath.Join(c.dir, "none.conf"),
		"--rpclisten=" + c.address, "--rpcuser=" + chainUser, "--rpcpass=" + chainPassword,
		"--rpccert=" + c.certificate(), "--rpckey=" + filepath.Join(c.dir, "rpc.key"),
		"--rpcmaxclients=50", "--rpcmaxwebsockets=50",
	}
	if miningAddress != "" {
		args = append(args, "--miningaddr="+miningAddress)
	}
	p, err := start(c.dir, "btcd", c.program, args...)
	if err != nil {
		return err
	}
	c.running = p
	return eventually("btcd answers", 30*time.Second, []*process{p}, func() error {
		return c.call("getblockcount")
	})
}

// tidy removes that directory if it is still empty.
func (c *chain) tidy() {
	if c.litter != "" {
		_ = os.Remove(c.litter)
	}
}

func (c *chain) mine(blocks int) error { return c.call("generate", blocks) }

func (c *chain) call(method string, params ...any) error {
	pem, err := os.ReadFile(c.certificate())
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, "https://"+c.address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.SetBasicAuth(chainUser, chainPassword)
	response, err := (&http.Client{Transport: transport, Timeout: 60 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var reply struct {
		Error *struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return fmt.Errorf("%s: status %d: %w", method, response.StatusCode, err)
	}
	if reply.Error != nil {
		return errors.New(method + ": " + reply.Error.Message)
	}
	return nil
}
