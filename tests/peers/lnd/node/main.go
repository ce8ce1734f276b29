// A Lightning node for the scenarios: LND, called as the library it is, so
// that the Go module proxy is all one needs to build it.
package main

import (
	"fmt"
	"os"

	"github.com/lightningnetwork/lnd"
	"github.com/lightningnetwork/lnd/signal"
)

func run() error {
	interceptor, err := signal.Intercept()
	if err != nil {
		return err
	}
	config, err := lnd.LoadConfig(interceptor)
	if err != nil {
		return err
	}
	parts := config.ImplementationConfig(interceptor)
	return lnd.Main(config, lnd.ListenerCfg{}, parts, interceptor)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
